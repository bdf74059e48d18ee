/** Payloads come back byte for byte, whichever way they went in and out. */

import { runInNewContext } from "node:vm";

import { describe, expect } from "vitest";

import { connect, InvalidArgument, Payload, registerEncoder, UnknownRef } from "../src/index.js";
import { collect, test } from "./fixtures.js";

class Point {
  constructor(readonly x: number) {}
}

class Encoded {
  readonly at = 7;
  readonly tags = new Set(["a"]);
}

class Wrong {
  readonly x = 1;
}

const CORPUS: Record<string, Payload> = {
  "key order": Payload.json('{"z":1,"a":2,"m":3}'),
  "duplicate keys": Payload.json('{"a":1,"a":2,"a":1}'),
  "white space": Payload.json(' \t\r\n{ "a" :\n[ 1 , 2 ] } \n'),
  "number spellings": Payload.json("[1.0,1.00,1e2,1E+2,-0,-0.0,0.1e-7]"),
  "huge exponent": Payload.json("[1e400,-1e400,1e-400]"),
  "19 digits": Payload.json("[9223372036854775808,1234567890123456789,-9223372036854775809]"),
  "5000 digits": Payload.json("9".repeat(5000)),
  "escaped NUL": Payload.json(String.raw`"\u0000"`),
  "escaped NUL in a key": Payload.json(String.raw`{"\u0000":"a\u0000b"}`),
  "lone surrogates": Payload.json(String.raw`["\ud800","\udc00\ud800","\uD83D"]`),
  "escaped pair": Payload.json(String.raw`"\ud83d\ude00 \/ \u00e9"`),
  "raw astral": Payload.json('"😀 é ü 漢字 \u2028\u2029"'),
  "a byte order mark within": Payload.json('"\ufeff"'),
  "empty object": Payload.json("{}"),
  "empty array": Payload.json("[]"),
  null: Payload.json("null"),
  scalar: Payload.json("true"),
  "512 levels": Payload.json("[".repeat(512) + "]".repeat(512)),
  "10 MB string": Payload.json(`"${"x".repeat(10 << 20)}"`),
  "every byte": Payload.binary(
    Uint8Array.from({ length: 768 }, (_, n) => n % 256),
    "application/octet-stream",
  ),
  "empty bytes": Payload.binary(new Uint8Array()),
  "JSON as bytes": Payload.binary(Buffer.from('{"a": not json'), "application/json"),
  "JSON with a type": Payload.json("1.0", "application/json; charset=utf-8"),
};

test.for(Object.keys(CORPUS))("%s comes back as it was sent", async (name, { client }) => {
  const payload = CORPUS[name] ?? Payload.json("null");
  const run = await client.saveRun({ plan: payload });
  await run.append({ type: "t", payload });
  await run.putSnapshot({ snapshotId: "1", nodes: [{ nodeId: "n", state: payload }] });
  await run.putSnapshot({ snapshotId: "2", state: { part: payload } });
  await run.putTaskWrites([{ taskId: "t", payload }], { namespace: "other" });
  await run.complete({ payload });
  await run.complete({ provenance: payload });
  await run.complete({ statistics: payload });

  const found = [
    (await run.get()).plan,
    (await run.listEvents()).events[0]?.payload,
    (await collect(run.events()))[0]?.payload,
    (await run.getSnapshot({ snapshotId: "1" })).nodes[0]?.state,
    (await run.getSnapshot({ snapshotId: "2" })).state["part"],
    (await run.getOutput({ revision: 1 })).payload,
    (await run.getOutput({ revision: 2 })).provenance,
    (await run.getOutput({ revision: 3 })).statistics,
  ];

  expect(found.map((each) => each?.equals(payload))).toEqual(Array(8).fill(true));
  expect((await run.verify()).verified).toBe(true);
});

test("a part sent by its hash comes back whole", async ({ client }) => {
  const run = await client.saveRun();
  const payload = Payload.json(String.raw`{"b":1.0,"a":"\u0000"}`);
  await run.putSnapshot({ state: { a: payload } });

  await run.putSnapshot({
    state: { b: payload.ref },
    nodes: [{ nodeId: "n", state: payload.ref }],
  });

  const { state, nodes } = await run.getSnapshot();
  expect(Object.keys(state)).toEqual(["b"]);
  expect(state["b"]?.equals(payload)).toBe(true);
  expect(nodes[0]?.state?.equals(payload)).toBe(true);
});

test("a hash the run does not know is refused", async ({ client }) => {
  const run = await client.saveRun();

  const put = run.putSnapshot({ state: { a: Payload.of("never stored").ref } });

  await expect(put).rejects.toThrow(UnknownRef);
});

describe("an argument", () => {
  test.for<[unknown, string]>([
    [{ b: 1, a: null }, '{"b":1,"a":null}'],
    ["é", '"é"'],
    ["\ud800", String.raw`"\ud800"`],
    [null, "null"],
    [[1.5, "x", -0], '[1.5,"x",0]'],
    [Object.assign(Object.create(null) as object, { a: 1 }), '{"a":1}'],
    [runInNewContext("({ a: [1] })"), '{"a":[1]}'],
    [JSON.parse('{"__proto__":1,"toJSON":2}'), '{"__proto__":1,"toJSON":2}'],
  ])("%j becomes the text one expects", ([value, text]) => {
    expect(Payload.of(value).text).toBe(text);
  });

  test.for<[string, unknown]>([
    ["NaN is not JSON", Number.NaN],
    ["-Infinity is not JSON", Number.NEGATIVE_INFINITY],
    ["a bigint is not JSON", 1n],
    ["a function is not JSON", () => 1],
    ["a symbol is not JSON", Symbol("s")],
    ["undefined is not JSON", undefined],
    ["an instance of Map is not JSON", new Map([["a", 1]])],
    ["an instance of Set is not JSON", new Set([1])],
    ["an instance of Date is not JSON", new Date(0)],
    ["an instance of RegExp is not JSON", /x/],
    ["an instance of Error is not JSON", new Error("x")],
    ["an instance of URL is not JSON", new URL("http://x/")],
    ["an instance of Uint8Array is not JSON", Uint8Array.of(1)],
    ["an instance of Buffer is not JSON", Buffer.from("x")],
    ["an instance of Number is not JSON", Object(1)],
    ["an instance of Promise is not JSON", Promise.resolve(1)],
    ["an instance of Point is not JSON", new Point(1)],
    ["an instance of Payload is not JSON", Payload.json("1")],
    ["a symbol as a key is not JSON", { [Symbol("s")]: 1 }],
  ])("that JSON has no word for is refused by its path: %s", ([problem, value]) => {
    const holding = { steps: [0, { score: value }], rest: "fine" };

    expect(() => Payload.of(holding)).toThrow(InvalidArgument);
    expect(() => Payload.of(holding)).toThrow(`payload.steps[1].score: ${problem}`);
  });

  test("with a hole, or with a key that is no name, is refused by its path", () => {
    // eslint-disable-next-line no-sparse-arrays -- that is what is refused
    expect(() => Payload.of({ "a b": [0, , 2] })).toThrow(
      'payload["a b"][1]: undefined is not JSON',
    );
  });

  test("that contains itself is refused", () => {
    const value: unknown[] = [];
    value.push(value);

    expect(() => Payload.of(value)).toThrow("payload: is nested too deeply, or contains itself");
  });

  test("is named where it stands in a call, before anything is sent", async () => {
    using client = connect("127.0.0.1:1");
    const [run, bad] = [client.run("run"), { x: [Number.NaN] }];

    for (const [path, call] of [
      ["plan", () => client.saveRun({ plan: bad })],
      ["payload", () => run.append({ type: "t", payload: bad })],
      ["events[1].payload", () => run.appendMany([{ type: "t" }, { type: "t", payload: bad }])],
      ["state.s", () => run.putSnapshot({ state: { s: bad } })],
      ["nodes[0].state", () => run.putSnapshot({ nodes: [{ nodeId: "n", state: bad }] })],
      ["metadata", () => run.putSnapshot({ metadata: bad })],
      ["writes[0].payload", () => run.putTaskWrites([{ taskId: "t", payload: bad }])],
      ["statistics", () => run.complete({ statistics: bad })],
      ["finalSnapshot.metadata", () => run.complete({ finalSnapshot: { metadata: bad } })],
      ["body", () => client.configs.register("prompt", "p", bad)],
    ] as const) {
      await expect(async () => call()).rejects.toThrow(`${path}.x[0]: NaN is not JSON`);
    }
  });

  test("of a class with an encoder is replaced wherever it is", () => {
    class Sub extends Encoded {}
    registerEncoder(Encoded, ({ at, tags }) => ({ at, tags: [...tags] }));

    expect(Payload.of([new Encoded(), { sub: new Sub() }]).json()).toEqual([
      { at: 7, tags: ["a"] },
      { sub: { at: 7, tags: ["a"] } },
    ]);
  });

  test("that an encoder makes is checked too", () => {
    registerEncoder(Wrong, () => ({ x: Number.NaN }));

    expect(() => Payload.of([new Wrong()])).toThrow("payload[0].x: NaN is not JSON");
  });

  test("that has no UTF-8 form is refused", () => {
    expect(() => Payload.json('"\ud800"')).toThrow(TypeError);
  });

  test("of bytes is copied, and read back as a copy", () => {
    const bytes = Uint8Array.of(1, 2);
    const payload = Payload.binary(bytes);

    bytes[0] = 9;
    payload.bytes[1] = 9;

    expect([...payload.bytes]).toEqual([1, 2]);
  });
});

test("a payload is read as what it is", () => {
  const [text, bytes] = [Payload.json('{"n": 1.0}'), Payload.binary(Uint8Array.of(255))];

  expect([text.isJson, bytes.isJson]).toEqual([true, false]);
  expect(text.json()).toEqual({ n: 1 });
  expect(Buffer.from(text.bytes).toString()).toBe('{"n": 1.0}');
  expect(() => bytes.text).toThrow(TypeError);
  expect(JSON.stringify([text, bytes])).toBe('[{"json":"{\\"n\\": 1.0}"},{"binary":"/w=="}]');
});
