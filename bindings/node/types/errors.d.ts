/** The errors that the package throws. */
import { Report } from "./report";
/** What an error knows beside its message. */
export interface ErrorDetails {
    /** The stable code, as in `spec/errors.toml`: `model-blocked`, `io-not-found`. */
    code: string;
    /** What to do about it. */
    hint: string;
    /** The path or name that it is about; empty where there is none. */
    path?: string;
    /** The judgement, where there is one. */
    report?: Report | undefined;
    /** The error behind it. */
    cause?: unknown;
}
/** Why something was not done. */
export declare class SecureTorchError extends Error {
    name: string;
    /** The stable code, as in `spec/errors.toml`: `model-blocked`, `io-not-found`. */
    readonly code: string;
    /** What to do about it. */
    readonly hint: string;
    /** The path or name that it is about; empty where there is none. */
    readonly path: string;
    /** The judgement, where there is one. */
    readonly report: Report | undefined;
    constructor(message: string, details: ErrorDetails);
}
/** The policy does not let the file through. Its report says why. */
export declare class ModelBlockedError extends SecureTorchError {
    name: string;
    readonly report: Report;
}
