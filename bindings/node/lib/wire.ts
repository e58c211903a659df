/** JSON from the native half, whose long numbers come as `{"$n": "…"}` (`src/wire.rs`). */

export function exact(text: string): unknown {
  return JSON.parse(text, (_, value: unknown) => {
    const held = typeof value === "object" && value !== null && "$n" in value;
    return held ? BigInt((value as { $n: string }).$n) : value;
  });
}
