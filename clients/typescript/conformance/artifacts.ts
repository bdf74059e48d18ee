/** The steps about artifacts as calls of the client. */

import {
  Payload,
  type ArtifactChoice,
  type ArtifactDescription,
  type ArtifactFilter,
  type Client,
  type DownloadOptions,
  type Run,
} from "../src/index.js";
import { all, type Steps } from "./steps.js";

interface Named extends Omit<ArtifactDescription, "sha256"> {
  readonly runId: string;
  readonly name: string;
  /** In hexadecimal. */
  readonly sha256?: string;
}

export function artifactSteps({ artifacts }: Client): Steps {
  return {
    artifact_upload: ({ runId, name, data, ...rest }: Named & { data: Payload }) =>
      artifacts.upload(runId, name, data.bytes, description(rest)),
    artifact_link: ({ runId, name, url, ...rest }: Named & { url: string }) =>
      artifacts.link(runId, name, url, description(rest)),
    artifact_get: (choice: ArtifactChoice) => artifacts.get(choice),
    artifact_download: async (options: DownloadOptions) => ({
      data: Payload.binary(await artifacts.read(options)),
    }),
    artifact_list: async (filter: ArtifactFilter) => ({
      artifacts: await all(artifacts.list(filter)),
    }),
  };
}

function description({ sha256, ...rest }: Omit<Named, "runId" | "name">): ArtifactDescription {
  return sha256 === undefined
    ? rest
    : { ...rest, sha256: Uint8Array.from(Buffer.from(sha256, "hex")) };
}

/** Export a run, and show the names of the files in its archive. */
export async function exportedFiles(run: Run): Promise<{ files: string[] }> {
  return { files: namesIn(Buffer.concat(await all(run.export()))) };
}

/** The names of the files in a tar file. */
function namesIn(archive: Buffer): string[] {
  const names = [];
  for (let at = 0; archive[at];) {
    const [name = ""] = archive.toString("utf8", at, at + 100).split("\0");
    names.push(name);
    const size = Number.parseInt(archive.toString("ascii", at + 124, at + 135), 8);
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return names;
}
