/** Flags as a verb declares them, read with every complaint at once. */
import { parseArgs } from 'node:util'
import { didYouMean, quoted } from '../words.ts'

export interface Flag {
  /** What follows it; absent: nothing does. */
  readonly value?: string
  /** May be given more than once. */
  readonly many?: boolean
  /** What is wrong with a value, as the end of a sentence that begins with the flag; undefined for a good one. */
  readonly check?: (value: string) => string | undefined
}

export interface Flags {
  has(name: string): boolean
  /** The value, or of several the last. */
  value(name: string): string | undefined
  values(name: string): readonly string[]
}

/**
 * @param complaints gets what is wrong, in sentences.
 * @param operands gets what is no flag; without it, that is wrong.
 */
export function readFlags(
  args: readonly string[],
  declared: Readonly<Record<string, Flag>>,
  complaints: string[],
  operands?: string[],
): Flags {
  const found = new Map<string, string[]>()
  for (const token of tokensOf(args, declared)) {
    if (token.kind === 'option-terminator') continue
    if (token.kind === 'positional') {
      if (operands !== undefined) operands.push(token.value)
      else complaints.push(`${quoted(token.value)} is not expected: this verb takes flags only.`)
      continue
    }
    const { rawName, value, inlineValue } = token
    const name = rawName === '-h' ? 'help' : token.name
    const isWhole = rawName === '-h' || rawName === `--${name}`
    const flag = isWhole && Object.hasOwn(declared, name) ? declared[name] : undefined
    const complaint =
      flag === undefined ? unknown(rawName, declared) : wrong(name, flag, value, inlineValue, found.has(name))
    if (complaint !== undefined) complaints.push(complaint)
    else found.set(name, [...(found.get(name) ?? []), value ?? ''])
  }
  return {
    has: (name) => found.has(name),
    value: (name) => found.get(name)?.at(-1),
    values: (name) => found.get(name) ?? [],
  }
}

/** One of several words. */
export function oneOf(words: readonly string[]): NonNullable<Flag['check']> {
  const choice = `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
  return (value) => (words.includes(value) ? undefined : `must be ${choice}.${didYouMean(value, words)}`)
}

function tokensOf(args: readonly string[], declared: Readonly<Record<string, Flag>>) {
  const options = Object.fromEntries(
    Object.entries(declared).map(([name, { value }]) => [
      name,
      { type: value === undefined ? ('boolean' as const) : ('string' as const) },
    ]),
  )
  return parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true }).tokens
}

function unknown(rawName: string, declared: Readonly<Record<string, Flag>>): string {
  const meant = didYouMean(
    rawName,
    Object.keys(declared).map((name) => `--${name}`),
  )
  return `${quoted(rawName)} is no flag of this verb.${meant}`
}

function wrong(
  name: string,
  flag: Flag,
  value: string | undefined,
  isInline: boolean | undefined,
  isRepeated: boolean,
): string | undefined {
  if (isRepeated && flag.many !== true) return `--${name} is given twice.`
  if (flag.value === undefined) return value === undefined ? undefined : `--${name} takes no value.`
  // The next flag, rather than a value: what was meant is `--key=--x` for the rare one that begins so.
  if (value === undefined || value === '' || (isInline !== true && value.startsWith('-'))) {
    return `--${name} needs a value: --${name} ${flag.value}.`
  }
  const complaint = flag.check?.(value)
  return complaint === undefined ? undefined : `--${name} ${complaint}`
}
