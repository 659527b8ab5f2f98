/** Where a ciphertext belongs, and the Transit context that says so to Vault. */

/** A Secret in its namespace. */
export interface Place {
  readonly namespace: string
  readonly secret: string
}

/**
 * base64(`keyhole/1/<realm>/<namespace>/<secret>/<dataKey>`): the `context` of a derived Transit key. None of the
 * parts holds a slash (RFC 1123 names, data keys of `[-._a-zA-Z0-9]`), so that no two places share a context. The
 * realm keeps two clusters with one Vault apart.
 *
 * @throws Error for a part that is empty or holds one: whoever checked the names before did not.
 */
export function transitContext(realm: string, place: Place, dataKey: string): string {
  const parts = [realm, place.namespace, place.secret, dataKey]
  if (parts.some((part) => part === '' || part.includes('/'))) throw new Error('this place would share its context')
  return Buffer.from(['keyhole', '1', ...parts].join('/'), 'utf8').toString('base64')
}
