# What `mix hex.build` would put into the package, one file a line; hex.pm cannot be reached from
# here, so its Mix.Tasks.Hex.Build.package/2 is replayed: entries may be patterns, a folder stands for all that
# is below it, an entry that stands for nothing stops the build. Run by `mix run` in muster's folder.
files = Mix.Project.config()[:package][:files]

for entry <- files, Path.wildcard(entry) == [] do
  Mix.raise("package: files: there is no #{entry}")
end

files
|> Enum.flat_map(&Path.wildcard/1)
|> Enum.flat_map(fn path ->
  if File.dir?(path), do: Path.wildcard(Path.join(path, "**"), match_dot: true), else: [path]
end)
|> Enum.filter(&File.regular?/1)
|> Enum.uniq()
|> Enum.sort()
|> Enum.each(&IO.puts/1)
