/** Arguments that a call cannot take. */

/** An argument that was refused before anything was sent; `field` is the path of the value. */
export class InvalidArgument extends TypeError {
  constructor(
    readonly field: string,
    readonly problem: string,
  ) {
    super(`${field}: ${problem}`);
    this.name = "InvalidArgument";
  }
}
