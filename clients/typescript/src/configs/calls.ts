/** Calls of configs: versions of prompts, tools, agents and evaluators, and their labels. */

import { inspect } from "node:util";

import { ConfigService } from "../gen/runstore/v1/config_service_pb.js";
import { pages, present } from "../transport/answers.js";
import type { Connection } from "../transport/connection.js";
import { CALL_OPTIONS, checkCallOptions, type CallOptions } from "../transport/options.js";
import * as check from "../values/arguments.js";
import { newId } from "../values/ids.js";
import { int64, optionalInt64, type Int64 } from "../values/numbers.js";
import { payloadMessage, type Value } from "../values/payloads.js";
import { selectorOf, type VersionChoice } from "./query.js";
import {
  configValue,
  moveValue,
  registeredValue,
  versionValue,
  type Config,
  type ConfigVersion,
  type LabelMove,
  type RegisteredVersion,
} from "./values.js";

const PAGE_SIZE = 100;

/** Optional properties of a version. */
export interface RegisterOptions extends CallOptions {
  readonly description?: string;
  /** A JSON object. */
  readonly metadata?: Value;
  /** Moved to the version in the same transaction. */
  readonly labels?: readonly string[];
  /** Who registers it and moves the labels. */
  readonly actor?: string;
  /** Identifies a retry; by default the client generates one. */
  readonly requestId?: string;
}

/** Which configs to list. */
export interface ListConfigsOptions extends CallOptions {
  /** Only of this kind. */
  readonly kind?: string;
  /** Only names that begin with it. */
  readonly namePrefix?: string;
}

/** How a label is moved. */
export interface MoveLabelOptions extends CallOptions {
  /** Where the label must point now, or it rejects with `LabelConflict`; 0 means no label. */
  readonly expectedVersion?: Int64;
  /** Who moves it. */
  readonly actor?: string;
  /** Identifies a retry; by default the client generates one. */
  readonly requestId?: string;
}

/** Which moves of labels to list. */
export interface LabelMovesOptions extends CallOptions {
  /** Only moves of this label. */
  readonly label?: string;
}

const checkRegister = check.object<RegisterOptions>("options", {
  ...CALL_OPTIONS,
  description: check.text,
  metadata: check.anything,
  labels: check.texts,
  actor: check.text,
  requestId: check.text,
});
const checkList = check.object<ListConfigsOptions>("options", {
  ...CALL_OPTIONS,
  kind: check.text,
  namePrefix: check.text,
});
const checkMove = check.object<MoveLabelOptions>("options", {
  ...CALL_OPTIONS,
  expectedVersion: check.int64,
  actor: check.text,
  requestId: check.text,
});
const checkMoves = check.object<LabelMovesOptions>("options", {
  ...CALL_OPTIONS,
  label: check.text,
});

/** A project's configs. Made by `Client.configs`. */
export class Configs {
  readonly #connection: Connection;
  readonly #project: string;

  /** @internal */
  constructor(connection: Connection, project: string) {
    this.#connection = connection;
    this.#project = project;
  }

  /** Its project, as it is printed. */
  toString(): string {
    return `<Configs of project ${JSON.stringify(this.#project)}>`;
  }

  /** @internal */
  [inspect.custom](): string {
    return this.toString();
  }

  /** Store a body as the next version; a body registered before keeps its version. */
  async register(
    kind: string,
    name: string,
    body: Value,
    options: RegisterOptions = {},
  ): Promise<RegisteredVersion> {
    checkRegister(options);
    const request = {
      ...this.#named(kind, name),
      body: payloadMessage(body, "body"),
      description: options.description ?? "",
      metadata: payloadMessage(options.metadata, "metadata"),
      labels: [...(options.labels ?? [])],
      actor: options.actor ?? "",
      requestId: options.requestId || newId(),
    };
    const { registerVersion } = ConfigService.method;
    return registeredValue(await this.#connection.send(registerVersion, request, options));
  }

  /** A version with its body: by number, digest or label, by default the latest. */
  async get(kind: string, name: string, choice: VersionChoice = {}): Promise<ConfigVersion> {
    const request = { ...this.#named(kind, name), selector: selectorOf(choice) };
    const answer = await this.#connection.send(ConfigService.method.getVersion, request, choice);
    return versionValue(present(answer.version));
  }

  /** Yield the versions of a config without bodies, newest first. */
  versions(
    kind: string,
    name: string,
    options: CallOptions = {},
  ): AsyncGenerator<ConfigVersion, void, undefined> {
    checkCallOptions(options);
    const request = { ...this.#named(kind, name), pageSize: PAGE_SIZE };
    const { listVersions } = ConfigService.method;
    return pages(
      (pageToken) => this.#connection.send(listVersions, { ...request, pageToken }, options),
      (page) => page.versions.map(versionValue),
    );
  }

  /** Yield the project's configs by kind and name. */
  list(options: ListConfigsOptions = {}): AsyncGenerator<Config, void, undefined> {
    checkList(options);
    const { kind = "", namePrefix = "" } = options;
    const request = { project: this.#project, kind, namePrefix, pageSize: PAGE_SIZE };
    const { listConfigs } = ConfigService.method;
    return pages(
      (pageToken) => this.#connection.send(listConfigs, { ...request, pageToken }, options),
      (page) => page.configs.map(configValue),
    );
  }

  /** Point a label to a version. Runs that are already saved keep their pins. */
  async setLabel(
    kind: string,
    name: string,
    label: string,
    version: Int64,
    options: MoveLabelOptions = {},
  ): Promise<LabelMove> {
    check.int64(version, "version");
    const request = { ...this.#moved(kind, name, label, options), version: int64(version) };
    const answer = await this.#connection.send(ConfigService.method.setLabel, request, options);
    return moveValue(present(answer.move));
  }

  /** Remove a label; its history stays. */
  async removeLabel(
    kind: string,
    name: string,
    label: string,
    options: MoveLabelOptions = {},
  ): Promise<LabelMove> {
    const request = this.#moved(kind, name, label, options);
    const answer = await this.#connection.send(ConfigService.method.removeLabel, request, options);
    return moveValue(present(answer.move));
  }

  /** Yield the moves of a label, by default of all labels, newest first. */
  labelMoves(
    kind: string,
    name: string,
    options: LabelMovesOptions = {},
  ): AsyncGenerator<LabelMove, void, undefined> {
    checkMoves(options);
    const { label = "" } = options;
    const request = { ...this.#named(kind, name), label, pageSize: PAGE_SIZE };
    const { listLabelMoves } = ConfigService.method;
    return pages(
      (pageToken) => this.#connection.send(listLabelMoves, { ...request, pageToken }, options),
      (page) => page.moves.map(moveValue),
    );
  }

  #named(kind: string, name: string) {
    check.text(kind, "kind");
    check.text(name, "name");
    return { project: this.#project, kind, name };
  }

  #moved(kind: string, name: string, label: string, options: MoveLabelOptions) {
    check.text(label, "label");
    checkMove(options);
    const expectedVersion = optionalInt64(options.expectedVersion);
    return {
      ...this.#named(kind, name),
      label,
      ...(expectedVersion === undefined ? {} : { expectedVersion }),
      actor: options.actor ?? "",
      requestId: options.requestId || newId(),
    };
  }
}
