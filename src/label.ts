/** What names may be, of Kubernetes and of Vault. policy.schema.json quotes each rule as it is written here. */

/** An RFC 1123 label, as namespaces are named. */
export const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** An RFC 1123 subdomain, as ServiceAccounts, Secrets and Leases are named. Its parts may be longer than a label. */
export const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

// These become segments of Vault's paths: no `..`, no slash but a path's inner ones, nothing to escape.
export const VAULT_NAME = /^(?=.{1,128}$)(?!.*\.\.)\w([\w.-]*\w)?$/
export const VAULT_NAME_RULE =
  'must be 1 to 128 letters, digits, "_", "-" and ".", beginning and ending with a letter, digit or "_", without ".."'

export const VAULT_PATH = /^(?=.{1,256}$)(?!.*\.\.)\w([\w.-]*\w)?(\/\w([\w.-]*\w)?)*$/
export const VAULT_PATH_RULE =
  'must be a path such as transit or teams/transit: letters, digits, "_", "-" and "." between slashes, no slash around it, no ".."'

/** Something in a namespace, as `payments/api` says it; undefined if it does not. */
export function namespacedName(text: string): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace = '', name = ''] = /^([^/]*)\/([^/]*)$/.exec(text) ?? []
  return LABEL.test(namespace) && SUBDOMAIN.test(name) ? { namespace, name } : undefined
}
