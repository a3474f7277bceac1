# What libcluster documents of itself, for tests without it: a strategy's state, the supervisor that
# starts strategies with `[state]`, and the behaviour. It only exists where a test puts it.
defmodule Muster.Test.LibclusterStub do
  @moduledoc "Makes modules with libcluster's documented interface, for one test."

  @doc "Compiles the stub into this VM; a function that takes it out again."
  def load do
    modules = Code.compile_string(source(), "libcluster_stub")
    fn -> for {module, _} <- modules, do: unload(module) end
  end

  defp unload(module) do
    :code.purge(module)
    :code.delete(module)
  end

  defp source do
    ~S"""
    defmodule Cluster.Strategy.State do
      defstruct topology: nil, connect: nil, disconnect: nil, list_nodes: nil, meta: nil, config: []
    end

    defmodule Cluster.Strategy do
      @callback child_spec([%Cluster.Strategy.State{}]) :: Supervisor.child_spec()
      @callback start_link([%Cluster.Strategy.State{}]) ::
                  {:ok, pid} | :ignore | {:error, reason :: term}
    end

    defmodule Cluster.Supervisor do
      use Supervisor

      def start_link([config]), do: start_link([config, []])
      def start_link([_config, opts] = args), do: Supervisor.start_link(__MODULE__, args, opts)

      @impl true
      def init([config, opts]) do
        children =
          for {topology, spec} <- config do
            state = %Cluster.Strategy.State{
              topology: topology,
              connect: Keyword.get(spec, :connect, {:net_kernel, :connect_node, []}),
              disconnect: Keyword.get(spec, :disconnect, {:erlang, :disconnect_node, []}),
              list_nodes: Keyword.get(spec, :list_nodes, {:erlang, :nodes, [:connected]}),
              config: Keyword.get(spec, :config, [])
            }

            {Keyword.fetch!(spec, :strategy), [state]}
          end

        Supervisor.init(children, Keyword.put(opts, :strategy, :one_for_one))
      end
    end
    """
  end
end
