/**
 * Executes the scenarios with the TypeScript client; clients/conformance/README.md defines them.
 *
 *     node runner.js --target HOST:PORT --scenarios FILE --project PREFIX --control URL --results FILE
 */

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { connect, RunstoreError } from "../src/index.js";
import { Operations } from "./operations.js";
import { seen, seenError } from "./seen.js";
import { parsed, resolved, sentArguments, type Fields, type Json } from "./sent.js";

interface Step {
  readonly do: string;
  readonly as?: string;
  readonly args?: Fields;
}

interface Scenario {
  readonly name: string;
  readonly each?: "payloads";
  readonly steps: readonly Step[];
}

interface File {
  readonly payloads: Fields;
  readonly scenarios: readonly Scenario[];
}

const TEXT = { type: "string" } as const;
const { values } = parseArgs({
  options: { target: TEXT, scenarios: TEXT, project: TEXT, control: TEXT, results: TEXT },
});

function given(name: keyof typeof values): string {
  const value = values[name];
  if (value === undefined) {
    throw new Error(`--${name} is required`);
  }
  return value;
}

async function execute(operations: Operations, step: Step, known: Fields): Promise<Fields> {
  try {
    const fields = sentArguments(resolved(step.args ?? {}, known) as Fields);
    const result = seen(await operations.run(step.do, fields));
    if (step.as) {
      known[step.as] = result;
    }
    return { result };
  } catch (error) {
    if (error instanceof RunstoreError) {
      return { error: seenError(error) };
    }
    return { failed: String(error) };
  }
}

const file = parsed(readFileSync(given("scenarios"), "utf8")) as File;
const results: Record<string, Json> = {};
for (const scenario of file.scenarios) {
  const cases: Fields = scenario.each ? file.payloads : { "": null };
  for (const [name, payload] of Object.entries(cases)) {
    const project = `${given("project")}/${Object.keys(results).length}`;
    using client = connect(given("target"), { project, timeoutMs: 300_000 });
    const operations = new Operations(client, given("control"));
    const known: Fields = { project, payload };
    const steps: Json[] = [];
    for (const step of scenario.steps) {
      steps.push(await execute(operations, step, known));
    }
    results[name ? `${scenario.name}: ${name}` : scenario.name] = steps;
  }
}
writeFileSync(given("results"), JSON.stringify(results));
