/** Checks of arguments. What is wrong with one is an error with a code, not one of the conversion's. */

import { misused } from "./errors";

/** What a value is by `typeof`; null where whoever takes it checks it. */
export type Kinds = Readonly<Record<string, string | null>>;

/** Refuses an option that there is none of, so that one that is misspelled is not passed over. @internal */
export function known(options: object, kinds: Kinds): void {
  if (typeof options !== "object" || options === null) throw misused("the options are an object");
  const odd = Object.keys(options).find((name) => !Object.hasOwn(kinds, name));
  if (odd !== undefined) throw misused(`there is no option \`${odd}\``);
  for (const [name, kind] of Object.entries(kinds)) {
    const value = (options as Record<string, unknown>)[name];
    if (value !== undefined && kind !== null && typeof value !== kind) {
      throw misused(`\`${name}\` is a ${kind}, not ${typeof value}`);
    }
  }
}

/** A text that a call takes. @internal */
export function text(value: unknown, name: string): string {
  if (typeof value === "string") return value;
  throw misused(`\`${name}\` is a string, not ${typeof value}`);
}
