/** Text for messages: what was written, made safe to print, and what was probably meant. */

/** A word as messages show it: bounded, and with nothing in it that could forge a log line or hide in one. */
export function quoted(word: string): string {
  const short = word.length > MAX_SHOWN ? `${word.slice(0, MAX_SHOWN)}…` : word
  return JSON.stringify(short).replace(UNPRINTABLE, escaped)
}

/** Escapes all but printable ASCII as `\uXXXX`. JSON stays the same document: only its strings hold other characters. */
export function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, escaped)
}

/** `a, b, c and 4 more`, to keep lines short. */
export function listed(names: readonly string[], most = 5): string {
  const shown = names.slice(0, most).join(', ')
  return names.length <= most ? shown : `${shown} and ${names.length - most} more`
}

/** Quoted, if necessary, so that a shell takes it as one word. */
export function shellWord(text: string): string {
  return /^[\w./:=@%+,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

/** ` Did you mean "x"?`, or nothing. Begins with a space, so that it can follow any sentence. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const meant = nearest(word, candidates)
  return meant === undefined ? '' : ` Did you mean ${quoted(meant)}?`
}

/** The candidate that `word` is probably a misspelling of, among the first 200; undefined if it resembles none. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > MAX_COMPARED) return undefined
  let best: string | undefined
  // One slip in a short word, more in a longer one, but never so many that nothing of the word is left.
  let within = Math.min(Math.max(1, Math.floor(word.length / 3)), word.length - 1)
  let left = MAX_CANDIDATES
  for (const candidate of candidates) {
    if (left-- === 0) break
    if (candidate === word || Math.abs(candidate.length - word.length) > within) continue
    const distance = slips(word.toLowerCase(), candidate.toLowerCase(), within)
    if (distance > within || (distance === within && best !== undefined)) continue
    best = candidate
    within = distance
  }
  return best
}

const MAX_SHOWN = 60
const MAX_COMPARED = 64
const MAX_CANDIDATES = 200
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/** `\uXXXX` for each UTF-16 unit; a character above U+FFFF has two. */
function escaped(char: string): string {
  return char
    .split('')
    .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .join('')
}

/** Letters to add, drop, replace, or swap with a neighbour (optimal string alignment); `max + 1` if it is more than `max`. */
function slips(a: string, b: string, max: number): number {
  let beforeLast = new Uint8Array(b.length + 1)
  let last = new Uint8Array(b.length + 1).map((_, j) => j)
  let row = new Uint8Array(b.length + 1)
  for (let i = 1; i <= a.length; i++) {
    const letter = a.charCodeAt(i - 1)
    let least = i
    row[0] = i
    for (let j = 1; j <= b.length; j++) {
      const same = letter === b.charCodeAt(j - 1) ? 0 : 1
      let count = Math.min(at(last, j) + 1, at(row, j - 1) + 1, at(last, j - 1) + same)
      const swapped = letter === b.charCodeAt(j - 2) && a.charCodeAt(i - 2) === b.charCodeAt(j - 1)
      if (swapped) count = Math.min(count, at(beforeLast, j - 2) + 1)
      row[j] = count
      least = Math.min(least, count)
    }
    // It can only grow from here, except by a swap with the row before.
    if (least > max + 1) return max + 1
    ;[beforeLast, last, row] = [last, row, beforeLast]
  }
  return at(last, b.length)
}

/** Every index is within its row. */
function at(row: Uint8Array, index: number): number {
  return row[index] as number
}
