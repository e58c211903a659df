/** JSON from the native half, whose long numbers come as `{"$n": "…"}` (`src/wire.rs`). */
export declare function exact(text: string): unknown;
