/** An RFC 1123 label, as namespaces and ServiceAccounts are named. policy.schema.json quotes it as it is written here. */
export const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/
