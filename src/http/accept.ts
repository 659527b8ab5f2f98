/** What a client takes, by its Accept header. */

/** Whether JSON is among it, and whether a type is named outright. */
export interface Accepted {
  readonly json: boolean
  names(type: string): boolean
}

/** Whoever says nothing takes anything. */
export function accepted(accept: string | undefined): Accepted {
  const ranges = accept === undefined || accept.trim() === '' ? ['*/*'] : rangesOf(accept)
  return {
    json: ranges.some((range) => JSON_RANGES.has(range)),
    names: (type) => ranges.includes(type),
  }
}

const JSON_RANGES = new Set(['application/json', 'application/*', '*/*'])

/** Those of weight 0 are refused by it. No order among the others: each answer here has one form that is preferred. */
function rangesOf(accept: string): readonly string[] {
  return accept
    .toLowerCase()
    .split(',')
    .filter((range) => !/;\s*q=0(?:\.0*)?\s*(?:;|$)/.test(range))
    .map((range) => range.replace(/;.*/s, '').trim())
}
