# The role keyhole-rotate, which rotates: it makes versions and has ciphertext rewrapped, and can decrypt nothing. Of the
# configuration of a key it may set the oldest version that opens, and no other parameter: `exportable` and
# `allow_plaintext_backup` would let the key itself out, for good.
# Of the keyhole in the namespace keyhole at auth/kubernetes.

path "transit/rewrap/payments" {
  capabilities = ["update"]
}

path "transit/keys/payments" {
  capabilities = ["read"]
}

path "transit/keys/payments/rotate" {
  capabilities = ["update"]
}

path "transit/keys/payments/config" {
  capabilities       = ["update"]
  allowed_parameters = { "min_decryption_version" = [] }
}
