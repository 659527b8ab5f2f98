/** What `keyhole manifests rbac --help` prints. */

export const MANIFESTS_RBAC_HELP = `keyhole manifests rbac --policy DIR [FLAGS]

Writes Roles and RoleBindings for exactly the Secrets that a policy names, each by its name. A grant takes effect when
its document is in force and these manifests have been applied; so granting is one edit, one run of this command, and
one kubectl apply. It needs no access to any server.

  --policy DIR          directory of the policy documents, laid out as keyhole reads them
  --reader NS/SA        ServiceAccount that serves reads (keyhole/keyhole)
  --rotator NS/SA       ServiceAccount that serves rotations (keyhole/keyhole-rotate)
  --reads-only          leave out everything for a rotator
  --write FILE          replace FILE in one step instead of writing to stdout; if the policy is refused, FILE is left as
                        it is
  --check FILE          write nothing; say how FILE differs from what the policy asks for
  --help                this text

What is written in each namespace that needs it, sorted, so that one more grant is one more line in a diff
  Role keyhole          get, on Secrets of grants that can be served and have a reader
  Role keyhole-rotate   get and patch, on Secrets under a TransitKey that has rotation admins; get alone, on Secrets
                        under one that has none: a rotator reads those for its metrics

A policy with errors is refused, and all of them are reported: half a policy would take rights away from everybody in
the other half. Warnings are reported, too, and what they are about gets no rights until it can be served.

Rights that the policy no longer asks for are no longer written, but kubectl apply deletes nothing. To list everything
that was ever applied:
  kubectl get role,rolebinding -A -l app.kubernetes.io/managed-by=keyhole-manifests

Exit codes
  0  written; or, with --check, FILE is what the policy asks for
  1  the command line is wrong, the policy is refused, FILE cannot be read or written, or, with --check, it differs
`
