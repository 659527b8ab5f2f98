import { defineConfig } from 'vitest/config'

// biome-ignore lint/style/noDefaultExport: vitest reads its configuration from the default export
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [
            'test/servers/**',
            'test/monitoring/**',
            'test/deploy/rendered.test.ts',
            'test/cluster/**',
            'test/image/**',
          ],
          setupFiles: ['test/seed.ts'],
          // No test is timed: this only ends one that hangs, also on a machine that is busy with something else.
          testTimeout: 180_000,
          hookTimeout: 180_000,
        },
      },
      'test/servers/vitest.config.ts',
      'test/monitoring/vitest.config.ts',
      'test/deploy/vitest.config.ts',
      'test/image/vitest.config.ts',
      'test/cluster/vitest.config.ts',
    ],
    coverage: {
      provider: 'v8',
      include: ['src/routes/**', 'src/services/**', 'src/policy/**', 'src/dictionary.ts', 'src/base64.ts'],
      exclude: ['src/policy/write-schema.ts'],
      thresholds: { statements: 100, branches: 100 },
      reportsDirectory: 'coverage',
    },
  },
})
