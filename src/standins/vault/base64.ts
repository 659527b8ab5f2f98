/** Standard base64 as Go's decoder takes it (line breaks ignored, padding required), with the byte it complains about. */

export function decodeLikeGo(text: string): { readonly bytes: Buffer } | { readonly error: string } {
  const at = corruptAt(text)
  if (at !== undefined) return { error: `illegal base64 data at input byte ${at}` }
  return { bytes: Buffer.from(text, 'base64') }
}

/** Index of what Go calls corrupt: the first alien character, a misplaced `=`, or the start of a group left unfinished. */
function corruptAt(text: string): number | undefined {
  let inGroup = 0
  let groupStart = 0
  for (let index = 0; index < text.length; index += 1) {
    const character = text.charAt(index)
    if (character === '\n' || character === '\r') continue
    if (character === '=') return inGroup < 2 ? index : paddingFlaw(text, index, inGroup)
    if (!/[A-Za-z0-9+/]/.test(character)) return index
    if (inGroup === 0) groupStart = index
    inGroup = (inGroup + 1) % 4
  }
  return inGroup === 0 ? undefined : groupStart
}

function paddingFlaw(text: string, first: number, inGroup: number): number | undefined {
  let end = skipBreaks(text, first + 1)
  if (inGroup === 2) {
    if (end === text.length) return text.length
    if (text.charAt(end) !== '=') return end - 1
    end = skipBreaks(text, end + 1)
  }
  return end === text.length ? undefined : end
}

function skipBreaks(text: string, from: number): number {
  let index = from
  while (text.charAt(index) === '\n' || text.charAt(index) === '\r') index += 1
  return index
}
