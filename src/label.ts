/** The rules for names in Kubernetes and in Vault. policy.schema.json quotes them exactly as they are written here. */

/** An RFC 1123 label: the name of a namespace. */
export const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** An RFC 1123 subdomain: the name of a ServiceAccount, Secret or Lease. Kubernetes lets its parts be longer than a label. */
export const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

// These become segments of Vault's paths, so they hold no `..`, no slash except within a path, and nothing to escape.
export const VAULT_NAME = /^(?=.{1,128}$)(?!.*\.\.)\w([\w.-]*\w)?$/
export const VAULT_NAME_RULE =
  'must be 1 to 128 letters, digits, "_", "-" and ".", beginning and ending with a letter, digit or "_", without ".."'

export const VAULT_PATH = /^(?=.{1,256}$)(?!.*\.\.)\w([\w.-]*\w)?(\/\w([\w.-]*\w)?)*$/
export const VAULT_PATH_RULE =
  'must be a path such as transit or teams/transit: letters, digits, "_", "-" and "." between slashes, no slash around it, no ".."'

/** Reads `NAMESPACE/NAME`; undefined if it is not that. */
export function namespacedName(text: string): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace = '', name = ''] = /^([^/]*)\/([^/]*)$/.exec(text) ?? []
  return LABEL.test(namespace) && SUBDOMAIN.test(name) ? { namespace, name } : undefined
}
