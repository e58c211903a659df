/** Checks of arguments. What is wrong with one is an error with a code, not one of the conversion's. */
/** What a value is by `typeof`; null where whoever takes it checks it. */
export type Kinds = Readonly<Record<string, string | null>>;
