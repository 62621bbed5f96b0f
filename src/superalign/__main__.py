"""`python -m superalign`: the command line, in this process or in one of several that train together."""

import os
import sys

if __name__ == "__main__":
    from superalign.cli import main

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # set by torch.distributed.run
        from superalign.distributed import lead

        sys.exit(lead(main))
    sys.exit(main())
