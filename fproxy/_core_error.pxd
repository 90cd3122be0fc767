"""What every call of the compiled core that may fail is declared with: ``except +core_error``."""

cdef extern from *:
    """
    #include <exception>
    #include "out_of_memory.hpp"

    static void core_error() {
        fproxy::end_if_out_of_memory();
        try {
            throw;
        } catch (const std::exception &error) {
            PyErr_SetString(PyExc_RuntimeError, error.what());
        } catch (...) {
            PyErr_SetString(PyExc_RuntimeError, "an unknown error in the compiled core");
        }
    }
    """
    void core_error()
