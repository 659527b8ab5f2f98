/** Which ServiceAccounts keyhole runs as: what gives rights, in the cluster and in Vault, gives them to these. */

export interface ServiceAccount {
  readonly namespace: string
  readonly name: string
}

export interface Identities {
  readonly reader: ServiceAccount
  /** Absent: nobody rotates. */
  readonly rotator?: ServiceAccount | undefined
}
