package main

import (
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
)

var mount = kept{
	fields: fields{
		"path":        fixed(schema.TypeString),
		"type":        fixed(schema.TypeString),
		"description": optional(schema.TypeString, nil),
	},
	id:    func(d *schema.ResourceData) string { return text(d, "path") },
	named: func(id string) data { return data{"path": id} },
	path:  func(id string) string { return "sys/mounts/" + id },
	make: func(d *schema.ResourceData) []write {
		return []write{{data: data{"type": d.Get("type"), "description": d.Get("description")}}}
	},
	change: describe,
}

var authBackend = kept{
	fields: fields{
		"path":        {Type: schema.TypeString, Optional: true, Computed: true, ForceNew: true},
		"type":        fixed(schema.TypeString),
		"description": optional(schema.TypeString, nil),
	},
	id:     func(d *schema.ResourceData) string { return text(d, "path") },
	named:  mount.named,
	path:   func(id string) string { return "sys/auth/" + id },
	make:   mount.make,
	change: describe,
}

func describe(d *schema.ResourceData) []write {
	return []write{{at: "/tune", data: data{"description": d.Get("description")}}}
}

var policy = kept{
	fields: fields{
		"name":   fixed(schema.TypeString),
		"policy": {Type: schema.TypeString, Required: true},
	},
	id:     func(d *schema.ResourceData) string { return text(d, "name") },
	named:  func(id string) data { return data{"name": id} },
	path:   func(id string) string { return "sys/policies/acl/" + id },
	make:   writePolicy,
	change: writePolicy,
}

func writePolicy(d *schema.ResourceData) []write {
	return []write{{data: data{"policy": d.Get("policy")}}}
}

var transitKey = kept{
	fields: fields{
		"backend":                fixed(schema.TypeString),
		"name":                   fixed(schema.TypeString),
		"type":                   {Type: schema.TypeString, Optional: true, ForceNew: true, Default: "aes256-gcm96"},
		"derived":                {Type: schema.TypeBool, Optional: true, ForceNew: true, Default: false},
		"convergent_encryption":  {Type: schema.TypeBool, Optional: true, ForceNew: true, Default: false},
		"exportable":             optional(schema.TypeBool, false),
		"allow_plaintext_backup": optional(schema.TypeBool, false),
		"deletion_allowed":       optional(schema.TypeBool, false),
		"auto_rotate_period":     {Type: schema.TypeInt, Optional: true, Computed: true},
		// A default, not what is there: whoever leaves it out takes back what a rotation raised.
		"min_decryption_version": optional(schema.TypeInt, 1),
		"min_encryption_version": optional(schema.TypeInt, 0),
		"latest_version":         {Type: schema.TypeInt, Computed: true},
	},
	id: func(d *schema.ResourceData) string { return text(d, "backend") + "/keys/" + text(d, "name") },
	named: func(id string) data {
		backend, name, _ := strings.Cut(id, "/keys/")
		return data{"backend": backend, "name": name}
	},
	path: func(id string) string { return id },
	make: func(d *schema.ResourceData) []write {
		made := write{data: pick(d, "type", "derived", "convergent_encryption", "auto_rotate_period")}
		return append([]write{made}, configureKey(d)...)
	},
	change: configureKey,
}

func configureKey(d *schema.ResourceData) []write {
	return []write{{at: "/config", data: pick(d, "min_decryption_version", "min_encryption_version", "deletion_allowed",
		"exportable", "allow_plaintext_backup", "auto_rotate_period")}}
}

var kubernetesConfig = kept{
	fields: fields{
		"backend":                {Type: schema.TypeString, Optional: true, ForceNew: true, Default: "kubernetes"},
		"kubernetes_host":        {Type: schema.TypeString, Required: true},
		"kubernetes_ca_cert":     {Type: schema.TypeString, Optional: true, Computed: true},
		"token_reviewer_jwt":     {Type: schema.TypeString, Optional: true, Sensitive: true, Default: ""},
		"issuer":                 optional(schema.TypeString, nil),
		"disable_iss_validation": {Type: schema.TypeBool, Optional: true, Computed: true},
		"disable_local_ca_jwt":   {Type: schema.TypeBool, Optional: true, Computed: true},
	},
	id: func(d *schema.ResourceData) string { return "auth/" + text(d, "backend") + "/config" },
	named: func(id string) data {
		return data{"backend": strings.TrimSuffix(strings.TrimPrefix(id, "auth/"), "/config")}
	},
	path:   func(id string) string { return id },
	make:   configureKubernetes,
	change: configureKubernetes,
	stays:  true,
}

func configureKubernetes(d *schema.ResourceData) []write {
	// `disable_iss_validation` is sent as false where it is left out, though true is Vault's own default.
	sent := pick(d, "kubernetes_host", "disable_iss_validation")
	for _, name := range []string{"kubernetes_ca_cert", "token_reviewer_jwt", "issuer", "disable_local_ca_jwt"} {
		if value, given := d.GetOk(name); given {
			sent[name] = value
		}
	}
	return []write{{data: sent}}
}

var kubernetesRole = kept{
	fields: fields{
		"backend":                          {Type: schema.TypeString, Optional: true, ForceNew: true, Default: "kubernetes"},
		"role_name":                        fixed(schema.TypeString),
		"bound_service_account_names":      {Type: schema.TypeSet, Required: true, Elem: words},
		"bound_service_account_namespaces": {Type: schema.TypeSet, Optional: true, Elem: words},
		"audience":                         optional(schema.TypeString, ""),
		"alias_name_source":                {Type: schema.TypeString, Optional: true, Computed: true},
		"token_policies":                   {Type: schema.TypeSet, Optional: true, Elem: words},
		"token_type":                       optional(schema.TypeString, "default"),
		"token_ttl":                        optional(schema.TypeInt, nil),
		"token_max_ttl":                    optional(schema.TypeInt, nil),
		"token_explicit_max_ttl":           optional(schema.TypeInt, nil),
		"token_period":                     optional(schema.TypeInt, nil),
		"token_num_uses":                   optional(schema.TypeInt, nil),
		"token_no_default_policy":          optional(schema.TypeBool, nil),
		"token_bound_cidrs":                {Type: schema.TypeSet, Optional: true, Elem: words},
	},
	id: func(d *schema.ResourceData) string {
		return "auth/" + text(d, "backend") + "/role/" + text(d, "role_name")
	},
	named: func(id string) data {
		backend, role, _ := strings.Cut(strings.TrimPrefix(id, "auth/"), "/role/")
		return data{"backend": backend, "role_name": role}
	},
	path:   func(id string) string { return id },
	make:   writeRole,
	change: writeRole,
}

func writeRole(d *schema.ResourceData) []write {
	sent := pick(d, "audience", "token_type", "token_ttl", "token_max_ttl", "token_explicit_max_ttl", "token_period",
		"token_num_uses", "token_no_default_policy")
	if source, given := d.GetOk("alias_name_source"); given {
		sent["alias_name_source"] = source
	}
	for _, name := range []string{"bound_service_account_names", "bound_service_account_namespaces", "token_policies",
		"token_bound_cidrs"} {
		sent[name] = d.Get(name).(*schema.Set).List()
	}
	return []write{{data: sent}}
}

var words = &schema.Schema{Type: schema.TypeString}

// Required, and never changed: another one takes its place.
func fixed(of schema.ValueType) *schema.Schema {
	return &schema.Schema{Type: of, Required: true, ForceNew: true}
}

func optional(of schema.ValueType, otherwise any) *schema.Schema {
	return &schema.Schema{Type: of, Optional: true, Default: otherwise}
}

func text(d *schema.ResourceData, name string) string {
	return strings.Trim(d.Get(name).(string), "/")
}

func pick(d *schema.ResourceData, names ...string) data {
	picked := data{}
	for _, name := range names {
		picked[name] = d.Get(name)
	}
	return picked
}
