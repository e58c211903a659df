// Why there is no verdict. A hostile file is a verdict, never an error.

/** An error with a stable code, the ones of `spec/errors.toml`, and what to do about it. */
export class SecureTorchError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {string} hint
   */
  constructor(code, message, hint) {
    super(message);
    this.name = 'SecureTorchError';
    this.code = code;
    this.hint = hint;
  }
}

/** What the engine calls to make an error. */
export function raised(code, message, hint) {
  return new SecureTorchError(code, message, hint);
}
