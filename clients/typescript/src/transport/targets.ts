/** Addresses of servers. */

import { InvalidArgument } from "../values/arguments.js";

const SCHEME = /^[a-z][a-z0-9+.-]*:\/\//i;
const HOST_PORT = /^(?:\[[0-9a-f:.%]+\]|[^\s:/[\]@,]+):([0-9]+)$/i;
const MAX_PORT = 65_535;

/** The address; throws `InvalidArgument` for one that no server can have. */
export function checkedTarget(target: string): string {
  const scheme = SCHEME.exec(target)?.[0];
  const port = HOST_PORT.exec(target)?.[1];
  if (scheme !== undefined || port === undefined) {
    const rule = "must be host:port, such as localhost:7411";
    const without = scheme === undefined ? "" : `, without ${scheme}`;
    throw new InvalidArgument("target", `${rule}${without}; is ${JSON.stringify(target)}`);
  }
  if (Number(port) < 1 || Number(port) > MAX_PORT) {
    const problem = `must have a port of 1..${MAX_PORT}; is ${JSON.stringify(target)}`;
    throw new InvalidArgument("target", problem);
  }
  return target;
}
