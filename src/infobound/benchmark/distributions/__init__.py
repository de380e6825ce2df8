"""Joint distributions whose mutual information is known exactly or by quadrature."""
