/** The steps about configs as calls of the client. */

import type {
  Client,
  Int64,
  ListConfigsOptions,
  MoveLabelOptions,
  RegisterOptions,
  Value,
  VersionChoice,
} from "../src/index.js";
import { all, type Steps } from "./steps.js";

interface Named {
  readonly kind: string;
  readonly name: string;
}

interface Labelled extends Named, MoveLabelOptions {
  readonly label: string;
}

export function configSteps({ configs }: Client): Steps {
  return {
    config_register: ({
      kind,
      name,
      body,
      ...options
    }: Named & RegisterOptions & { body: Value }) => configs.register(kind, name, body, options),
    config_get: ({ kind, name, ...choice }: Named & VersionChoice) =>
      configs.get(kind, name, choice),
    config_versions: async ({ kind, name }: Named) => ({
      versions: await all(configs.versions(kind, name)),
    }),
    config_list: async (options: ListConfigsOptions) => ({
      configs: await all(configs.list(options)),
    }),
    config_set_label: ({ kind, name, label, version, ...options }: Labelled & { version: Int64 }) =>
      configs.setLabel(kind, name, label, version, options),
    config_remove_label: ({ kind, name, label, ...options }: Labelled) =>
      configs.removeLabel(kind, name, label, options),
    config_label_moves: async ({ kind, name, ...options }: Named & { label?: string }) => ({
      moves: await all(configs.labelMoves(kind, name, options)),
    }),
  };
}
