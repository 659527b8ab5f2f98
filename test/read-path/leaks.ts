/** Canaries, and the search for them. Told of by label only: a failing test must not print the token it is about. */

export interface Canaries {
  /** The text itself, and every form that a logger or an encoder could have given it. */
  add(label: string, text: string): void
  /** Labels of the canaries that this text holds, in any form. `granted` ones are not looked for. */
  foundIn(text: string, granted?: ReadonlySet<string>): readonly string[]
}

/** Shorter than this, chance finds it. */
const MIN_CHARS = 8

export function canaries(): Canaries {
  const forms = new Map<string, Set<string>>()
  return {
    add(label, text) {
      if (text.length < MIN_CHARS) throw new Error(`${label} is too short for a canary`)
      const known = forms.get(label) ?? new Set()
      forms.set(label, known)
      for (const part of [text, ...jwtParts(text)]) for (const form of formsOf(part)) known.add(form)
    },
    foundIn(text, granted = new Set()) {
      return [...forms]
        .filter(([label, known]) => !granted.has(label) && [...known].some((form) => text.includes(form)))
        .map(([label]) => label)
    },
  }
}

/** The payload and the signature: whoever has one of them has something to go on. The header is the same for all. */
function jwtParts(text: string): string[] {
  const parts = text.split('.')
  return parts.length === 3 ? parts.slice(1) : []
}

function formsOf(text: string): string[] {
  const bytes = Buffer.from(text)
  const base64 = bytes.toString('base64').replace(/=+$/, '')
  const base64url = base64.replaceAll('+', '-').replaceAll('/', '_')
  const quoted = JSON.stringify(text).slice(1, -1)
  return [text, quoted, base64, base64url, bytes.toString('hex'), encodeURIComponent(text)]
}
