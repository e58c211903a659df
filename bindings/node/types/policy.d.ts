/** What the caller lets through. */
/** What a policy is made of. */
export interface PolicyOptions {
    /** The highest score that is let through, from 0 to 100. */
    maxThreatScore?: number;
    /** Globals that are allowed beyond the rules, as `module.name` or `module:name`. */
    allow?: readonly string[];
    /** Limits of the judgement by their names in `spec/limits.toml`. */
    limits?: Readonly<Record<string, number | bigint>>;
}
/** What is let through: a score, names of globals, limits, and perhaps a `secure-torch.toml`. */
export declare class Policy {
    #private;
    constructor(options?: PolicyOptions);
    /** The policy in a `secure-torch.toml`, which the caller names and therefore trusts. */
    static open(path: string): Policy;
    /** The policy in a text, whose `paths` count from the folder `base`. */
    static fromToml(toml: string, base?: string): Policy;
    /** The policy file that holds for a path, and the policy in it, where there is one. */
    static discover(path: string): {
        path: string;
        policy: Policy;
    } | null;
    /** The same policy with another score. */
    withMaxThreatScore(score: number): Policy;
    /** The highest score that is let through. */
    get maxThreatScore(): number;
    /** The globals that are allowed beyond the rules. */
    get allow(): string[];
    /** The file that the policy comes from. */
    get path(): string | null;
}
