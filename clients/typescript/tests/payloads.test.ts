/** Payloads come back byte for byte, whichever way they went in and out. */

import { describe, expect } from "vitest";

import { Payload, UnknownRef } from "../src/index.js";
import { collect, test } from "./fixtures.js";

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
    [[1.5, "x", undefined], '[1.5,"x",null]'],
    [new Date(0), '"1970-01-01T00:00:00.000Z"'],
  ])("%j becomes the text one expects", ([value, text]) => {
    expect(Payload.of(value).text).toBe(text);
  });

  test.for<[string, unknown]>([
    ["NaN", Number.NaN],
    ["infinity within", { deep: [Number.POSITIVE_INFINITY] }],
    ["a bigint", 1n],
    ["a function", () => 1],
    ["undefined", undefined],
  ])("that JSON has no word for is refused: %s", ([, value]) => {
    expect(() => Payload.of(value)).toThrow(TypeError);
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
