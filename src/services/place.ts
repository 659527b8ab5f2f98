/** Where a ciphertext belongs, and the Transit context that says so to Vault. */

/** A Secret in its namespace. */
export interface Place {
  readonly namespace: string
  readonly secret: string
}

/**
 * base64(`keyhole/1/<realm>/<namespace>/<secret>/<dataKey>`): the `context` of a derived Transit key. None of the
 * parts may hold a slash (RFC 1123 names, data keys of `[-._a-zA-Z0-9]`), so that no two places share a context. The
 * realm keeps two clusters with one Vault apart.
 */
export function transitContext(realm: string, place: Place, dataKey: string): string {
  return Buffer.from(`keyhole/1/${realm}/${place.namespace}/${place.secret}/${dataKey}`, 'utf8').toString('base64')
}
