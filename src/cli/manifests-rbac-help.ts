/** What `keyhole manifests rbac --help` prints. */

export const MANIFESTS_RBAC_HELP = `keyhole manifests rbac --policy DIR [FLAGS]

Writes the Roles and RoleBindings that name Secrets: those of a policy, each by its name, and no other. A grant takes effect
when its document is in force and this has been applied; so granting is one edit, one run of this, and one kubectl apply. It
asks nothing of any server.

  --policy DIR          the policy documents, laid out as keyhole reads them
  --reader NS/SA        ServiceAccount that serves reads (keyhole/keyhole)
  --rotator NS/SA       ServiceAccount that serves rotations (keyhole/keyhole-rotate)
  --reads-only          nothing for a rotator
  --write FILE          write there, in one step, instead of to stdout; a policy that is refused leaves the file as it is
  --check FILE          write nothing: say how FILE differs from what the policy asks for
  --help                this text

What is written, in each namespace that needs it, sorted, so that a grant more is a line more in a diff
  Role keyhole          get: Secrets of grants that can be served and have a reader
  Role keyhole-rotate   get and patch: Secrets under a TransitKey that has rotation admins; get alone: Secrets under one that
                        has none, which a rotator looks at for its metrics

A policy with errors is refused, with all of them: half a policy would take rights away from whoever the other half is about.
Warnings are told, and what they are about gets no rights until it can be served.

What the policy asks for no more is no longer written, but kubectl apply deletes nothing. All that was ever applied is found by
  kubectl get role,rolebinding -A -l app.kubernetes.io/managed-by=keyhole-manifests

Exit codes
  0  written; or FILE is what the policy asks for
  1  the command line is wrong, the policy is refused, FILE cannot be read or written, or it differs
`
