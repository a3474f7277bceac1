defmodule Raxol.Swarm.CRDT.ORSetTest do
  use ExUnit.Case, async: true

  alias Raxol.Swarm.CRDT.{LWWMap, LWWRegister, ORSet}

  test "a struct's defaults are the empty value" do
    assert ORSet.new() == %ORSet{}
    assert LWWMap.new() == %LWWMap{}
  end

  test "all types implement the behaviour" do
    for module <- [ORSet, LWWMap, LWWRegister] do
      assert Raxol.Swarm.CRDT in Keyword.get(module.module_info(:attributes), :behaviour, [])
    end
  end

  test "Enum works on sets" do
    set = ORSet.from_list([1, 2, 3])
    assert Enum.count(set) == 3
    assert 2 in set
    refute 2.0 in set
    assert Enum.sort(Enum.map(set, &(&1 * 2))) == [2, 4, 6]
    assert length(Enum.slice(set, 1, 2)) == 2
    assert Enum.take(Enum.zip(set, set), 1) |> length() == 1
  end

  test "Enum works on maps" do
    map = Enum.into(%{a: 1, b: 2}, LWWMap.new())
    assert Enum.sort(map) == [a: 1, b: 2]
    assert {:a, 1} in map
    refute {:a, 1.0} in map
    refute :a in map
    assert Enum.count(map) == 2
  end

  test "sets collect" do
    assert Enum.sort(Enum.into([3, 4], ORSet.from_list([1]))) == [1, 3, 4]
    assert Enum.sort(for(x <- 1..3, into: ORSet.new(), do: x * x)) == [1, 4, 9]
  end

  test "sets and maps inspect" do
    assert inspect(ORSet.from_list([:a])) == "#ORSet<[:a]>"
    assert inspect(LWWMap.put(LWWMap.new(), :a, 1)) == "#LWWMap<%{a: 1}>"
  end

  test "replicas default to this node" do
    assert Map.keys(ORSet.add(ORSet.new(), 1).context) == [node()]
    assert LWWRegister.new(1).node == node()
  end

  test "malformed values raise ArgumentError" do
    for bad <- [nil, %{}, %ORSet{root: nil}, %ORSet{root: {1, 2}}, %ORSet{context: []}] do
      assert_raise ArgumentError, fn -> ORSet.add(bad, 1) end
      assert_raise ArgumentError, fn -> ORSet.merge(bad, ORSet.from_list([1])) end
      assert_raise ArgumentError, fn -> ORSet.merge(ORSet.from_list([1]), bad) end
    end

    assert_raise ArgumentError, fn -> ORSet.merge(ORSet.new(), LWWMap.new()) end
    assert_raise ArgumentError, fn -> ORSet.from_list([1 | 2]) end
    assert_raise ArgumentError, fn -> ORSet.from_list(:x) end
    assert_raise ArgumentError, fn -> LWWRegister.update(%{value: 1}, 2) end
  end
end
