output "settings" {
  description = "What keyhole's containers are configured with; all of it is keyhole's default where the module's own is left."
  value = merge(
    {
      KEYHOLE_VAULT_AUTH_MOUNT = var.auth_path
      KEYHOLE_VAULT_ROLE       = var.reader.role
    },
    var.rotator == null ? {} : { KEYHOLE_VAULT_ROTATE_ROLE = var.rotator.role },
  )
}

output "policies" {
  description = "The rules of each role, by its name."
  value       = { for role, its in local.roles : role => its.policy }
}
