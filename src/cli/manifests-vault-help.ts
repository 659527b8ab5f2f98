/** What `keyhole manifests vault --help` prints. */

export const MANIFESTS_VAULT_HELP = `keyhole manifests vault --policy DIR [FLAGS]

Writes the Vault policies that a policy asks for, one file for each Vault role, ROLE.hcl: what reads may decrypt with its
Transit keys, and what rotates may rewrap with them, and neither may do anything else. For vault policy write, for Terraform,
or to be read. It asks nothing of any server; keyhole vault setup writes the same into Vault.

  --policy DIR          the policy documents, laid out as keyhole reads them
  --read-role NAME      Vault role that reads, for TransitKeys that name none (keyhole)
  --rotate-role NAME    Vault role that rotates, for TransitKeys that name none (keyhole-rotate)
  --reads-only          nothing for a rotator
  --reader, --rotator   ServiceAccounts (keyhole/keyhole, keyhole/keyhole-rotate); the text names their namespace, and
  --auth-mount PATH     of Vault's Kubernetes auth method (kubernetes): whose it is, as keyhole vault setup looks for it
  --role NAME           to stdout: the policy of that role alone
  --write DIR           write the files there, each in one step, instead of one to stdout
  --check DIR           write nothing: say which files there are not what the policy asks for
  --help                this text

A key that nobody may rotate (no spec.rotation.admins) may be read about by what rotates, for its ledger, and no more.

Exit codes
  0  written; or the files are what the policy asks for
  1  the command line is wrong, the policy is refused, a file cannot be read or written, or one differs
`
