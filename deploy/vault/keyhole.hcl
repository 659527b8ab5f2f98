# The role keyhole, which reads: to decrypt with the Transit keys of its policy, and nothing else.
# `update` alone: with `create`, encrypting under a name that is missing would make a key that is not derived.
# Of the keyhole in the namespace keyhole at auth/kubernetes.

path "transit/decrypt/payments" {
  capabilities = ["update"]
}
