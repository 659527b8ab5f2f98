# The role keyhole, which reads: to decrypt with the Transit keys of its policy, and nothing else. One block a key.
path "transit/decrypt/payments" {
  capabilities = ["update"]
}
