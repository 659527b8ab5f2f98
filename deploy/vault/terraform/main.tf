# What keyhole needs in Vault, and nothing more. See docs/how-to/set-up-vault.md.

locals {
  roles = merge(
    {
      (var.reader.role) = {
        account = var.reader
        policy  = local.reader_policy
      }
    },
    var.rotator == null ? {} : {
      (var.rotator.role) = {
        account = var.rotator
        policy  = local.rotator_policy
      }
    },
  )

  rotated = { for name, key in var.keys : name => key if key.rotate }

  # The rules of ../keyhole.hcl, once a key.
  reader_policy = join("\n", [for name, key in var.keys : <<-EOT
    path "${key.mount}/decrypt/${name}" {
      capabilities = ["update"]
    }
  EOT
  ])

  # The rules of ../keyhole-rotate.hcl: one to look at each key, and the others once a key that rotates. Of its configuration no
  # other parameter: `exportable` and `allow_plaintext_backup` would let the key itself out, for good.
  rotator_policy = join("\n", concat(
    [for name, key in var.keys : <<-EOT
      path "${key.mount}/keys/${name}" {
        capabilities = ["read"]
      }
    EOT
    ],
    [for name, key in local.rotated : <<-EOT
      path "${key.mount}/rewrap/${name}" {
        capabilities = ["update"]
      }

      path "${key.mount}/keys/${name}/rotate" {
        capabilities = ["update"]
      }

      path "${key.mount}/keys/${name}/config" {
        capabilities       = ["update"]
        allowed_parameters = { "min_decryption_version" = [] }
      }
    EOT
    ],
  ))
}

resource "vault_mount" "transit" {
  for_each = var.create_mounts ? toset(values(var.keys)[*].mount) : toset([])

  path = each.key
  type = "transit"

  # Its keys would go with it, and all ciphertext with them.
  lifecycle {
    prevent_destroy = true
  }
}

resource "vault_transit_secret_backend_key" "key" {
  for_each = { for name, key in var.keys : name => key if key.create }

  backend = var.create_mounts ? vault_mount.transit[each.value.mount].path : each.value.mount
  name    = each.key
  type    = "aes256-gcm96"
  # Binds a ciphertext to its place.
  derived                = true
  exportable             = false
  allow_plaintext_backup = false
  # Vault itself then refuses to delete it, also where this block is taken away and `prevent_destroy` with it.
  deletion_allowed = false

  lifecycle {
    prevent_destroy = true
    # The rotator raises it. The provider would set it back to 1, and old versions would open again.
    ignore_changes = [min_decryption_version]
  }
}

resource "vault_policy" "keyhole" {
  for_each = local.roles

  name   = each.key
  policy = each.value.policy
}

resource "vault_auth_backend" "kubernetes" {
  count = var.create_auth ? 1 : 0

  type = var.auth_type
  path = var.auth_path
}

resource "vault_kubernetes_auth_backend_config" "kubernetes" {
  count = var.create_auth ? 1 : 0

  backend            = vault_auth_backend.kubernetes[0].path
  kubernetes_host    = var.kubernetes_host
  kubernetes_ca_cert = var.kubernetes_ca_cert
  token_reviewer_jwt = var.token_reviewer_jwt
  # Given a token, Vault takes nothing of its own pod's.
  disable_local_ca_jwt = nonsensitive(var.token_reviewer_jwt != null)
  # Vault's own default, which the provider turns around where it is left out. The API server looks at the issuer.
  disable_iss_validation = true
}

resource "vault_kubernetes_auth_backend_role" "keyhole" {
  for_each = local.roles

  backend                          = var.create_auth ? vault_auth_backend.kubernetes[0].path : var.auth_path
  role_name                        = each.key
  audience                         = var.audience
  bound_service_account_names      = [each.value.account.service_account]
  bound_service_account_namespaces = [each.value.account.namespace]
  token_policies                   = [vault_policy.keyhole[each.key].name]
  # As long as keyhole uses a token: a rotator that was stopped and woken must not act on a Lease that is another's by then.
  token_type              = "batch"
  token_ttl               = 10
  token_no_default_policy = true
}
