-- Remember the config and layers of manifests that were fetched from the registry, except of those deleted meanwhile.
--
-- KEYS  layers:R voided:R
-- ARGV  max_layers  manifests to remember
--       manifests(short layers)
-- include lib/layers
for _, manifest in ipairs(manifests) do
  if not redis.call('ZSCORE', r.voided, '@' .. manifest.short) then
    remember_layers(r, manifest.short, manifest.layers)
  end
end
