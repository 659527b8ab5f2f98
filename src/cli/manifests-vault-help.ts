/** What `keyhole manifests vault --help` prints. */

export const MANIFESTS_VAULT_HELP = `keyhole manifests vault --policy DIR [FLAGS]

Writes the Vault policies that a policy asks for, one file for each Vault role, ROLE.hcl. The role that reads may
decrypt with its Transit keys, the role that rotates may rewrap with them, and neither may do anything else. Use the
files with vault policy write or Terraform, or review them. It needs no access to any server; keyhole vault setup writes
the same policies into Vault.

  --policy DIR          directory of the policy documents, laid out as keyhole reads them
  --read-role NAME      Vault role that reads, for TransitKeys that name none (keyhole)
  --rotate-role NAME    Vault role that rotates, for TransitKeys that name none (keyhole-rotate)
  --reads-only          leave out everything for a rotator
  --reader NS/SA        ServiceAccount that serves reads (keyhole/keyhole)
  --rotator NS/SA       ServiceAccount that serves rotations (keyhole/keyhole-rotate)
  --auth-mount PATH     path of Vault's Kubernetes auth method (kubernetes)
  --role NAME           write the policy of this role alone, to stdout
  --write DIR           write all files into DIR, each in one step, instead of one to stdout
  --check DIR           write nothing; say which files in DIR are not what the policy asks for
  --help                this text

Each file begins with a comment that names the namespace of its ServiceAccount and the auth method. keyhole vault setup
recognizes its own policies by this comment, so give it the same flags.

For a key that nobody may rotate (no spec.rotation.admins), the role that rotates may read metadata only, for its
ledger.

Exit codes
  0  written; or, with --check, the files are what the policy asks for
  1  the command line is wrong, the policy is refused, a file cannot be read or written, or, with --check, one differs
`
