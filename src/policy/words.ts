/** Words for the people who write policies: what was written, made safe to print, and what was probably meant. */

/** As messages show it: bounded, and with nothing in it that could forge a line of a log or hide in one. */
export function quoted(word: string): string {
  const short = word.length > MAX_SHOWN ? `${word.slice(0, MAX_SHOWN)}…` : word
  return JSON.stringify(short).replace(UNPRINTABLE, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** ` Did you mean "x"?`, or nothing. Begins with a space, so that it may follow any sentence. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const meant = nearest(word, candidates)
  return meant === undefined ? '' : ` Did you mean ${quoted(meant)}?`
}

/** The candidate that `word` is probably a slip of, among the first few hundred; undefined if it resembles none. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > MAX_COMPARED) return undefined
  let best: string | undefined
  // A slip or two in a long word, one in a short word, never a wholly different one.
  let within = Math.min(Math.max(1, Math.floor(word.length / 3)), word.length - 1)
  let left = MAX_CANDIDATES
  for (const candidate of candidates) {
    if (left-- === 0) break
    if (candidate === word || Math.abs(candidate.length - word.length) > within) continue
    const distance = slips(word.toLowerCase(), candidate.toLowerCase())
    if (distance > within || (distance === within && best !== undefined)) continue
    best = candidate
    within = distance
  }
  return best
}

const MAX_SHOWN = 60
const MAX_COMPARED = 64
const MAX_CANDIDATES = 500
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** Letters to add, drop, replace, or swap with a neighbour (optimal string alignment). */
function slips(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row[j] = Math.min(
        at(last, j) + 1,
        at(row, j - 1) + 1,
        at(last, j - 1) + same,
        swapped ? at(beforeLast, j - 2) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    beforeLast = last
    last = row
  }
  return at(last, b.length)
}

/** Every index is within its row. */
function at(row: readonly number[], index: number): number {
  return Number(row[index])
}
