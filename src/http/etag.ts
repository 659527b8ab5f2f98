/** `If-None-Match`, by RFC 9110 §13.1.2. */

/** Whether this entity tag is one that the caller has already. */
export type IfNoneMatch = (etag: string) => boolean

const TAGS = /^\s*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"(?:\s*,\s*(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*")*\s*$/

/** A header that is none is ignored, so that the answer is whole rather than refused. The comparison is the weak one. */
export function parseIfNoneMatch(header: string | undefined): IfNoneMatch {
  if (header === undefined) return () => false
  if (header.trim() === '*') return () => true
  if (!TAGS.test(header)) return () => false
  const tags = new Set(header.match(/"[^"]*"/g))
  return (etag) => tags.has(etag)
}
