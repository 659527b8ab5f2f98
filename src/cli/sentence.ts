/** What was found and what to do about it, as a person reads them: two sentences. */
export function withFix(detail: string, fix: string | undefined): string {
  if (fix === undefined) return detail
  const sentence = /[.?]$/.test(detail) ? detail : `${detail}.`
  return `${sentence} ${fix[0]?.toUpperCase()}${fix.slice(1)}`
}
