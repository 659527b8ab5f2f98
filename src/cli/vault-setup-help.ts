/** What `keyhole vault setup --help` prints. */

/** The flags that `keyhole vault setup` and `keyhole vault check` share, and the environment they read. */
export const VAULT_FLAGS_HELP = `  --policy DIR          directory of the policy documents, laid out as keyhole reads them
  --reader NS/SA        ServiceAccount that serves reads (keyhole/keyhole)
  --rotator NS/SA       ServiceAccount that serves rotations (keyhole/keyhole-rotate)
  --reads-only          leave out everything for a rotator
  --read-role NAME      Vault role and policy for reading, for TransitKeys that name none (keyhole)
  --rotate-role NAME    the same for rotating (keyhole-rotate)
  --audience NAME       audience that tokens must have at Vault (vault)
  --auth-mount PATH     path of Vault's Kubernetes auth method (kubernetes)
  --auth-type TYPE      its type, if the plugin is registered under another name (kubernetes)
  --kubernetes-host URL the API server as Vault reaches it. Without it, an existing configuration stays; if there is
                        none, Vault is assumed to run in the cluster
  --kubernetes-ca FILE  PEM of the API server's CA; without it, the one in Vault's own pod
  --token-reviewer-jwt-file FILE
                        a token that may create TokenReviews, for a Vault outside the cluster; needs --kubernetes-ca`

export const VAULT_ENVIRONMENT_HELP = `Environment, the same as for the vault command
  VAULT_ADDR            origin of Vault; https, or http on loopback
  VAULT_CACERT          PEM of Vault's CA; without it, the system's CAs are trusted
  VAULT_TOKEN           an administrator's token; without it, the one in ~/.vault-token, where vault login puts it
  VAULT_NAMESPACE       Vault namespace (Enterprise, OpenBao)`

export const VAULT_SETUP_HELP = `keyhole vault setup --policy DIR [FLAGS]

Sets up Vault for a policy: the Transit engine and its keys, the Kubernetes auth method, and a role with a Vault policy
for reading and one for rotating. It first shows what it would write and why, with the vault command that does the same,
and writes nothing without --yes:

  keyhole vault setup --policy policy             shows what would be written
  keyhole vault setup --policy policy --yes       writes it, and checks the result

It can be run again at any time: what is as it should be is left alone. It creates what is missing and narrows what is
too wide. It deletes nothing, and if a role or a policy of the same name may belong to somebody else, it stops and says
so.

${VAULT_FLAGS_HELP}
  --yes                 write it
  --dry-run             write nothing, and exit with 0 even if there is something to write
  --help                this text

The text of a Vault policy is what keyhole manifests vault --policy DIR writes.

${VAULT_ENVIRONMENT_HELP}

Exit codes
  0  Vault is as the policy asks for; or the dry run was shown
  1  the command line, the environment or the policy is wrong; Vault was not called
  2  Vault cannot be reached, or is sealed: run it again later, and it goes on where it stopped
  3  something is left to be written, or has to be decided by a person first
  4  Vault refuses the token, or a request
`
