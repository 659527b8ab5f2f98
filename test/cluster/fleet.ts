/**
 * Secrets beside the one of the tutorial, of the same Transit key and read by nobody, so that a rotation has something to move.
 * They come about as the tutorial's own does, between its blocks.
 */
import type { Block } from './script.ts'

export const FLEET = [1, 2, 3, 4, 5].map((number) => `payments-fleet-${number}`)

/** Grants in a file of their own, listed where the others are, and the rights that follow from them. */
const GRANTED = `
for name in ${FLEET.join(' ')}; do cat <<EOF
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: $name, namespace: payments }
spec:
  secretRef: { name: $name, key: secrets.json }
  transitKey: payments
  readers: [{ serviceAccount: fleet, allKeys: true }]
EOF
done > my-keyhole/k8s/base/policy/fleet.yaml
sed -i 's#^      - policy/payments.yaml#&\\n      - policy/fleet.yaml#' my-keyhole/k8s/base/kustomization.yaml
npm run --silent keyhole -- manifests rbac --policy my-keyhole/k8s/base/policy --rotator keyhole/keyhole \\
  --write my-keyhole/k8s/base/rbac-secrets.yaml
`

const STORED = `
for name in ${FLEET.join(' ')}; do
  place=$(printf %s "keyhole/1/my-cluster/payments/$name/secrets.json" | base64 -w0)
  stored=$(vault write -field=ciphertext transit/encrypt/payments plaintext="$(echo '{}' | base64 -w0)" context="$place")
  kubectl -n payments create secret generic "$name" --from-literal=secrets.json="$stored"
done
`

/** @throws Error where the tutorial does not have the steps that these follow. */
export function withFleet(blocks: readonly Block[]): readonly Block[] {
  const copied = blocks.findIndex(({ commands }) => commands.startsWith('cp -r deploy/k8s my-keyhole/'))
  const encrypts = blocks.findIndex(({ commands }) => commands.includes('vault write -field=ciphertext'))
  if (copied === -1 || encrypts < copied)
    throw new Error('the tutorial copies no manifests, or encrypts before it does')
  // Lines of their own, so that no block of the page is taken for one of these.
  const granted = { line: -1, commands: GRANTED }
  const stored = { line: -2, commands: STORED }
  return [
    ...blocks.slice(0, copied + 1),
    granted,
    ...blocks.slice(copied + 1, encrypts),
    stored,
    ...blocks.slice(encrypts),
  ]
}
