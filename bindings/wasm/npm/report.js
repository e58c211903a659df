// The report of a file, as the engine gave it.

const camel = (key) => key.replaceAll(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());

/** The same value with keys in JavaScript's manner. Rules' names are data and stay. */
function cased(value) {
  if (Array.isArray(value)) return value.map(cased);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [camel(key), cased(item)]));
}

/** The judgement of one file. */
export class Report {
  #json;
  #sarif;

  /**
   * @param {string} json the canonical form
   * @param {string} sarif
   */
  constructor(json, sarif) {
    this.#json = json;
    this.#sarif = sarif;
    const { score_breakdown: breakdown, ...fields } = JSON.parse(json);
    Object.assign(this, cased(fields), { scoreBreakdown: breakdown });
  }

  /** Whether the policy lets the file through. */
  get loadAllowed() {
    return this.verdict === 'allow';
  }

  /** The canonical JSON: the same bytes as from every other door. */
  json() {
    return this.#json;
  }

  /** A SARIF 2.1.0 log, as text. */
  sarif() {
    return this.#sarif;
  }

  /** What `JSON.stringify` writes: the fields in the names of the schema. */
  toJSON() {
    return JSON.parse(this.#json);
  }
}
