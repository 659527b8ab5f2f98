variable "keys" {
  description = "The Transit keys, by the name of their TransitKey. mount: where the secrets engine of it is mounted. rotate: whether anybody may rotate it; a rotator only looks at others. create: whether it is made here, derived; false: it is there, as one with binding none is."
  nullable    = false

  type = map(object({
    mount  = optional(string, "transit")
    rotate = optional(bool, true)
    create = optional(bool, true)
  }))

  validation {
    condition     = length(var.keys) > 0
    error_message = "keys must name at least one Transit key."
  }
  validation {
    condition = alltrue([
      for name in keys(var.keys) : can(regex("^\\w([\\w.-]{0,126}\\w)?$", name)) && !strcontains(name, "..")
    ])
    error_message = "The name of a key must be one of a TransitKey: letters, digits, \"_\", \"-\" and \".\", without slash and without \"..\"."
  }
  validation {
    condition = alltrue([
      for key in values(var.keys) : can(regex("^\\w([\\w.-]*\\w)?(/\\w([\\w.-]*\\w)?)*$", key.mount)) && !strcontains(key.mount, "..")
    ])
    error_message = "The mount of a key must be a Vault path without leading or trailing slash, and without \"..\"."
  }
  validation {
    condition = alltrue([
      for key in values(var.keys) : !can(regex("^(sys|auth|identity|cubbyhole|audit)(/|$)", key.mount))
    ])
    error_message = "The mount of a key must not be one of Vault's own: rules below it would be about Vault itself."
  }
}

variable "create_mounts" {
  description = "Whether to mount the Transit secrets engines that the keys name. False: they are there."
  type        = bool
  default     = true
  nullable    = false
}

variable "reader" {
  description = "The role that decrypts, and nothing else, and the ServiceAccount that logs in with it. A policy of the same name is made: one for the whole Vault, so each cluster that it serves needs another."
  default     = {}
  nullable    = false

  type = object({
    role            = optional(string, "keyhole")
    namespace       = optional(string, "keyhole")
    service_account = optional(string, "keyhole")
  })

  validation {
    condition     = can(regex("^[a-z0-9_]([a-z0-9_.-]{0,126}[a-z0-9_])?$", var.reader.role))
    error_message = "reader.role must be a name of lower-case letters, digits, \"_\", \"-\" and \".\", without slash: Vault knows its roles and policies by such names."
  }
  validation {
    condition     = !contains(["root", "default", "response-wrapping", "control-group"], try(var.reader.role, ""))
    error_message = "reader.role must not be one of Vault's own policies: that of the role would take its place."
  }
  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.reader.namespace))
    error_message = "reader.namespace must be one Kubernetes namespace, without pattern."
  }
  validation {
    condition     = can(regex("^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", var.reader.service_account)) && var.reader.service_account != "default"
    error_message = "reader.service_account must be one Kubernetes ServiceAccount, without pattern, and not default, which every pod has that names no other."
  }
}

variable "rotator" {
  description = "The role that rewraps and rotates, and decrypts nothing, and the ServiceAccount that logs in with it. Null: nobody rotates. Where one Deployment does both, service_account is the reader's."
  default     = {}

  type = object({
    role            = optional(string, "keyhole-rotate")
    namespace       = optional(string, "keyhole")
    service_account = optional(string, "keyhole-rotate")
  })

  validation {
    condition     = var.rotator == null || can(regex("^[a-z0-9_]([a-z0-9_.-]{0,126}[a-z0-9_])?$", var.rotator.role))
    error_message = "rotator.role must be a name of lower-case letters, digits, \"_\", \"-\" and \".\", without slash: Vault knows its roles and policies by such names."
  }
  validation {
    condition     = !contains(["root", "default", "response-wrapping", "control-group"], try(var.rotator.role, ""))
    error_message = "rotator.role must not be one of Vault's own policies: that of the role would take its place."
  }
  validation {
    condition     = try(var.rotator.role, null) != var.reader.role
    error_message = "rotator.role must not be reader.role: one token would then decrypt and rotate."
  }
  validation {
    condition     = var.rotator == null || can(regex("^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", var.rotator.namespace))
    error_message = "rotator.namespace must be one Kubernetes namespace, without pattern."
  }
  validation {
    condition     = var.rotator == null || can(regex("^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", var.rotator.service_account)) && try(var.rotator.service_account, null) != "default"
    error_message = "rotator.service_account must be one Kubernetes ServiceAccount, without pattern, and not default, which every pod has that names no other."
  }
}

variable "audience" {
  description = "The audience that both roles ask of a token. It is that of keyhole's projected token for Vault."
  type        = string
  default     = "vault"
  nullable    = false

  validation {
    condition     = can(regex("^[\\x21-\\x2b\\x2d-\\x7e]{1,253}$", var.audience))
    error_message = "audience must be one audience, without spaces and commas: without any, a role takes every token, also one that a caller showed to somebody else."
  }
}

variable "create_auth" {
  description = "Whether to enable and configure the Kubernetes auth method. False: it is there, and keeps its configuration."
  type        = bool
  default     = true
  nullable    = false
}

variable "auth_path" {
  description = "Where the Kubernetes auth method is enabled."
  type        = string
  default     = "kubernetes"
  nullable    = false

  validation {
    condition     = can(regex("^\\w[\\w.-]*(/\\w[\\w.-]*)*$", var.auth_path)) && !strcontains(var.auth_path, "..")
    error_message = "auth_path must be a Vault path without leading or trailing slash, and without \"auth/\" before it."
  }
}

variable "auth_type" {
  description = "The name under which Vault has the plugin of the Kubernetes auth method, where that is not the built-in one."
  type        = string
  default     = "kubernetes"
  nullable    = false
}

variable "kubernetes_host" {
  description = "The API server, as Vault reaches it. Default: that of the cluster which Vault runs in."
  type        = string
  default     = "https://kubernetes.default.svc"
  nullable    = false

  validation {
    condition     = can(regex("^https://\\S+$", var.kubernetes_host))
    error_message = "kubernetes_host must be an https address, such as https://kubernetes.example:6443: tokens are sent there."
  }
}

variable "kubernetes_ca_cert" {
  description = "The PEM of the API server's CA. Null for a Vault within the cluster, which has it in its pod."
  type        = string
  default     = null

  validation {
    condition     = var.kubernetes_ca_cert == null || can(regex("-----BEGIN CERTIFICATE-----", var.kubernetes_ca_cert))
    error_message = "kubernetes_ca_cert must be the PEM of a certificate."
  }
}

variable "token_reviewer_jwt" {
  description = "A token that may create TokenReviews. Null for a Vault within the cluster, which has its pod's. It is written into the state."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.token_reviewer_jwt == null || var.kubernetes_ca_cert != null
    error_message = "token_reviewer_jwt needs kubernetes_ca_cert with it: a Vault that is given the one has neither from its pod."
  }
}
