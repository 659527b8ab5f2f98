/**
 * Where a document lies says who wrote it. A subdirectory is one namespace's and holds SecretGrants of that namespace
 * only, so that whoever may write there can neither grant nor hold up what is another's. The top level is the
 * platform's.
 */
import { LABEL } from '../label.ts'
import type { Kind } from './schema.ts'

/** The namespace whose subdirectory a file lies in; undefined at the top level. */
export function namespaceOf(path: string): string | undefined {
  const slash = path.indexOf('/')
  return slash === -1 ? undefined : path.slice(0, slash)
}

/** A subdirectory that is no namespace's may hold nothing, and is not looked into. */
export function isNamespace(name: string): boolean {
  return LABEL.test(name)
}

/** Which document one says it is, as far as that is beyond doubt. */
export type Identified = { readonly id: string } & (
  | { readonly kind: Extract<Kind, 'SecretGrant'>; readonly namespace: string }
  | { readonly kind: Extract<Kind, 'TransitKey'> }
)

/** Why the document may not lie in this file, and what to do; undefined if it may. */
export function misplaced(path: string, document: Identified): string | undefined {
  const home = namespaceOf(path)
  if (home === undefined) return undefined
  if (document.kind === 'TransitKey') {
    return `${home}/ may hold SecretGrants of the namespace "${home}" only, so this TransitKey is not taken. The platform writes TransitKeys, into files at the top of the policy directory.`
  }
  const { namespace } = document
  if (namespace === home) return undefined
  return `${home}/ may hold SecretGrants of the namespace "${home}" only, so this one is not taken. It belongs into ${namespace}/, or into a file at the top of the policy directory, which is the platform's.`
}
