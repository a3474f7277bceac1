# The election's simulator, and one more of it for each deliberate fault in the core.

SIM_OUT := $(OUT)/sim
SIM_SRC := $(wildcard c_src/test/sim/*.c)
SIM_OBJ := $(call obj,$(SIM_SRC))
ELECTION_SRC := $(wildcard c_src/core/election*.c)
MUTATIONS := VISIBLE_QUORUM VOTE_TWICE NO_PRE_VOTE NO_CHECK_QUORUM NO_ABSTENTION LATE_GRANTS \
             LOCAL_JOIN LEASE_FROM_ACK FORGETFUL_JOIN EAGER_ACK
MUTANTS := $(addprefix $(SIM_OUT)/mutant_,$(MUTATIONS))

.PHONY: sim
sim: $(SIM_OUT)/muster_sim $(MUTANTS)

$(SIM_OUT)/muster_sim: $(SIM_OBJ) $(OUT)/libmuster_core.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $(LDFLAGS_$(BUILD)) $(LDFLAGS) -o $@ $^

# A mutant is the simulator with the election compiled again; the rest of the core is as it is.
$(MUTANTS): $(SIM_OUT)/mutant_%: $(ELECTION_SRC) $(wildcard c_src/core/election*.h) $(SIM_OBJ) \
            $(OUT)/libmuster_core.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) $(LDFLAGS_$(BUILD)) $(LDFLAGS) \
	  -DMUSTER_MUTATION=MUSTER_MUTATION_$* -o $@ $(ELECTION_SRC) $(SIM_OBJ) $(OUT)/libmuster_core.a
