// A stand-in of the Terraform provider hashicorp/vault, for a machine that cannot have it: of its resources those that
// deploy/vault/terraform makes, of their attributes those that it sets, each of the type and with the default that the provider
// gives it. Any other is refused, as Terraform refuses what a provider does not know. Vault itself is asked, and nobody else.
package main

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/hashicorp/terraform-plugin-sdk/v2/diag"
	"github.com/hashicorp/terraform-plugin-sdk/v2/helper/schema"
	"github.com/hashicorp/terraform-plugin-sdk/v2/plugin"
	"github.com/hashicorp/vault/api"
)

func main() {
	plugin.Serve(&plugin.ServeOpts{ProviderFunc: func() *schema.Provider {
		return &schema.Provider{
			ResourcesMap: map[string]*schema.Resource{
				"vault_mount":                          mount.resource(),
				"vault_transit_secret_backend_key":     transitKey.resource(),
				"vault_policy":                         policy.resource(),
				"vault_auth_backend":                   authBackend.resource(),
				"vault_kubernetes_auth_backend_config": kubernetesConfig.resource(),
				"vault_kubernetes_auth_backend_role":   kubernetesRole.resource(),
			},
			ConfigureContextFunc: configure,
		}
	}})
}

// Address, CA and token are those of the environment, as the provider takes them where its block names none.
func configure(context.Context, *schema.ResourceData) (any, diag.Diagnostics) {
	client, err := api.NewClient(api.DefaultConfig())
	return client, diag.FromErr(err)
}

type fields map[string]*schema.Schema
type data map[string]any

// What is kept at one path of Vault's.
type kept struct {
	fields fields
	// How the state knows it, and what `terraform import` is told.
	id func(d *schema.ResourceData) string
	// The other way round: the attributes that an id tells.
	named func(id string) data
	// Where it is, under /v1/.
	path func(id string) string
	// What is written to make it, and to change it.
	make, change func(d *schema.ResourceData) []write
	// It ends with what it belongs to, and not before.
	stays bool
}

type write struct {
	// After its own path.
	at   string
	data data
}

func (k kept) resource() *schema.Resource {
	return &schema.Resource{
		Schema:        k.fields,
		CreateContext: k.create,
		ReadContext:   k.read,
		UpdateContext: k.update,
		DeleteContext: k.delete,
		Importer:      &schema.ResourceImporter{StateContext: schema.ImportStatePassthroughContext},
	}
}

func (k kept) create(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	id := k.id(d)
	if err := writeAll(ctx, meta, k.path(id), k.make(d)); err != nil {
		return diag.FromErr(err)
	}
	d.SetId(id)
	return k.read(ctx, d, meta)
}

func (k kept) update(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	if err := writeAll(ctx, meta, k.path(d.Id()), k.change(d)); err != nil {
		return diag.FromErr(err)
	}
	return k.read(ctx, d, meta)
}

func writeAll(ctx context.Context, meta any, path string, writes []write) error {
	for _, each := range writes {
		if _, err := meta.(*api.Client).Logical().WriteWithContext(ctx, path+each.at, each.data); err != nil {
			return err
		}
	}
	return nil
}

// Whatever Vault tells goes into the state; what it keeps to itself, such as a token, stays there as it was written.
func (k kept) read(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	found, err := meta.(*api.Client).Logical().ReadWithContext(ctx, k.path(d.Id()))
	if isMissing(found, err) {
		d.SetId("")
		return nil
	}
	if err != nil {
		return diag.FromErr(err)
	}
	for name, value := range k.named(d.Id()) {
		found.Data[name] = value
	}
	for name := range k.fields {
		value, told := found.Data[name]
		if !told {
			continue
		}
		if err := d.Set(name, value); err != nil {
			return diag.FromErr(err)
		}
	}
	return nil
}

// Of a mount that is not there Vault says 400.
func isMissing(found *api.Secret, err error) bool {
	if err == nil {
		return found == nil
	}
	var answer *api.ResponseError
	return errors.As(err, &answer) && answer.StatusCode == http.StatusBadRequest && strings.Contains(err.Error(), " mount at ")
}

func (k kept) delete(ctx context.Context, d *schema.ResourceData, meta any) diag.Diagnostics {
	if k.stays {
		return nil
	}
	_, err := meta.(*api.Client).Logical().DeleteWithContext(ctx, k.path(d.Id()))
	return diag.FromErr(err)
}
